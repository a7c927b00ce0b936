"""Result rows as `crossiqa bench` writes them, with the figures that a test cares about."""


def row(model="nano", p50=10.0, srcc=0.6, *, batch=1, calibration=5.0, interval=None, run="r", **other):
    return {
        "format": 1,
        "run": run,
        "made": "2026-01-01T00:00:00+00:00",
        "machine": {"cpu": "A CPU", "cores": 2, "instructions": ["AVX2"], "system": "Linux"},
        "libraries": {"numpy": "2"},
        "package": "0",
        "commit": "abc",
        "input": {"pictures": 16, "sha256": "0", "set": "probe"},
        "model": model,
        "precision": "fp32",
        "backend": "onnxruntime",
        "device": "cpu",
        "sampling": "fragments",
        "views": 1,
        "threads": None,
        "batch": batch,
        "bytes": 5_000_000,
        "latency_ms": {"p50": p50, "p90": 1.1 * p50, "p99": 1.5 * p50, "max": 3 * p50},
        "p50_interval_ms": list(interval or (0.98 * p50, 1.02 * p50)),
        "pictures_per_s": 1e3 * batch / p50,
        "stages_ms": {
            **{"decode": 0.2 * p50, "sample": 0.1 * p50, "infer": 0.7 * p50},
            **{"host_to_device": None, "pool": 0.02},
        },
        "calibration_ms": calibration,
        "accuracy": {"set": "probe", "n": 500, "srcc": srcc, "plcc": srcc, "krcc": srcc},
        "energy_mj_per_picture": None,
        "energy_counter": None,
        "cold": {
            "import_ms": 100.0,
            "open_ms": 50.0,
            "first_ms": 20.0,
            "peak_rss_mb": 120.0,
            "peak_device_mb": None,
        },
        **other,
    }
