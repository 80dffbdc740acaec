"""Rule-based composer: gestures and faces for speech, from recorded clips."""
