"""The work of whole commands: build, fetch the inputs, describe CI jobs."""
