"""Quality of motion on recorded takes."""
