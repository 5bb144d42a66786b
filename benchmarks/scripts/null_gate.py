"""A script whose provider declines every image."""


def fetch_images(new_image: "images"):  # noqa: F821
    return []


def process(images: "images"):  # noqa: F821
    return None
