"""What the commands do as a whole: build, fetch the inputs, describe CI jobs."""
