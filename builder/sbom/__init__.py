"""What is in a package: its inventory, and the documents made of it.

The stage takes the inventory, because it has the wheels; packing writes the documents, because
they name the format.
"""
