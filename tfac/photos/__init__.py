"""Pictures and the faces in them: decoding, finding, aligning, drawing."""
