"""nginx's configuration language: reading it, writing it, and finding what nginx would refuse."""
