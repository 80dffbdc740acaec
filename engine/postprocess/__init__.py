"""Post-processing of poses: smoothing, posture, feet, idle motion, gaze and blinks."""
