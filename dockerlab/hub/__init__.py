"""The hub: an OCI registry in a few files, with the images that dockerlab brings along.

Not a client of registries (`image.registry` is) and not a store of pulled images. Reading order:
`elf` writes a program, `builtin` makes images of it, `server` serves repositories over the
distribution protocol, `__main__` runs it alone. Images of this machine's programs: `fromhost` finds
what they need (by `elfreader`, `libraries`, `hosttree`), `pack` makes a layer, `hostimages` serves.
"""
