"""What is kept of snapshots, trainings, runs and versions, and what goes."""
