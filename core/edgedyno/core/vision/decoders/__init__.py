"""One module for each family of detectors: `read(outputs, spec, geometry)` and the forms it `EXPECTS`."""
