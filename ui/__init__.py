"""What people and programs see: the page, its tabs, and the HTTP routes. Importing loads no model."""
