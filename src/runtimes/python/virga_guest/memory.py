"""Peak resident memory of this process, for STATS frames.

ru_maxrss costs 0.4 µs but starts at the size of the process that exec'ed us where that was larger (a launcher without
bubblewrap in between); VmHWM of /proc is exact and costs 15 µs. So /proc is asked only while ru_maxrss says nothing.
"""

import resource


def _high_water_kib():
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None


class PeakMemory:
    def __init__(self):
        self._reported = 0
        at_start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        own = _high_water_kib()
        # 0: nothing was inherited, ru_maxrss is ours.
        self._inherited = at_start if own is not None and at_start > own + 1024 else 0

    def grown(self):
        """KiB when the peak is higher than ever reported, else 0."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if self._inherited:
            if peak > self._inherited:
                self._inherited = 0
            else:
                peak = _high_water_kib() or 0
        if peak <= self._reported:
            return 0
        self._reported = peak
        return peak
