"""What people write when they have no platform, kept as it is to be measured against."""
