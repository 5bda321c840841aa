"""What a client of plain HTTP verifies: nothing, for nothing is encrypted.

Rule: give it as `verify` wherever no https URL is asked; the default reads the system's roots, 60 ms of CPU a client.
"""

import ssl

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # believes nobody: https fails
