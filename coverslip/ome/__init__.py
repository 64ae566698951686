"""OME-XML: the description of an OME-TIFF as typed values, which page is which plane, and the text written anew.

document.py    the tree, within limits
names.py       the schema's own words, which may be printed
values.py      numbers and closed vocabularies, each with the one way it is printed
model.py       images, channels, and where their planes are said to lie
layout.py      planes against the pages of the file
elements.py    every attribute and text as an element
rebuild.py     the text of a clean slide

Source: OME Data Model 2016-06 (`ome.xsd`), OME-TIFF specification 6.0.
"""
