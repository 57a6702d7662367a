"""HL7 v2 messages over MLLP: received, kept, carried out in order, and sent."""
