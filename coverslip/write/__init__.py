"""Writing clean slides: plan and slide in, new file out."""
