"""From a trained generator to a file on a device.

`students` makes smaller networks of it, `files` exports and rewrites them, `device` runs the files
and says where and how fast, `report` judges them. Import the modules themselves: `device` needs
nothing but LiteRT and NumPy, and `students.pruning` loads TensorFlow Model Optimization only when
a pruning schedule starts.
"""
