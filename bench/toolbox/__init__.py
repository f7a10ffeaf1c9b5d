"""The toolbox: the image with the measuring tools that netbench's services run.

``build.ensure_archive`` makes it on the controller from Debian packages; no registry is involved.
"""
