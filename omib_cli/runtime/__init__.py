"""What every long loop needs: the stop flag, devices, threads, seeds, progress events."""
