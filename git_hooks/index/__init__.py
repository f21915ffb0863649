"""What the code of a tree defines: classes, defined types, functions, plans and types, each with its place."""
