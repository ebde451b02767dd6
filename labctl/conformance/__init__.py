"""An ingress controller held against recordings of a real ingress-nginx."""
