# Two commands for a fresh machine:
#   make demo   a light environment (no torch); scores the pictures and the clip in examples/, writes reports
#   make test   the full environment; lint, types and all tests

PYTHON ?= python3
DEMO := .venv-demo
FULL := .venv

.PHONY: demo test lint types pytest bench clean

demo: $(DEMO)/.ready
	$(DEMO)/bin/crossiqa score 'examples/*.jpg' 'examples/*.png' --sort score --timings --report out/report.html
	$(DEMO)/bin/crossiqa score examples/clip.mp4 --timings --report out/clip.html
	@echo "The reports are out/report.html (pictures) and out/clip.html (a clip)"

test: lint types pytest

lint: $(FULL)/.ready
	$(FULL)/bin/ruff check .
	$(FULL)/bin/ruff format --check .

# mypy cannot follow setup.py's mapping of the sibling folders, so it checks the package as a wheel installs it.
types: $(FULL)/.ready
	rm -rf build
	$(FULL)/bin/pip install --quiet --no-deps --target build/installed .
	cd build/installed && ../../$(FULL)/bin/python -c "import crossiqa_edge.kernels, crossiqa_edge.export, crossiqa_edge.bench"
	cd build/installed && ../../$(FULL)/bin/mypy --config-file ../../pyproject.toml

# Two processes for two cores: the kernels' tests take about as long as the others; what they print comes last.
pytest: $(FULL)/.ready
	@mkdir -p out
	@$(FULL)/bin/python -m pytest tests/kernels > out/test-kernels.log 2>&1 & kernels=$$!; \
	trap "kill $$kernels 2>/dev/null" EXIT INT TERM; \
	$(FULL)/bin/python -m pytest tests bench --ignore tests/kernels --benchmark-disable; others=$$?; \
	wait $$kernels; status=$$?; cat out/test-kernels.log; exit $$((others || status))

# Latency against accuracy on this machine; BENCH=FOLDER keeps the results elsewhere.
BENCH ?= out/bench
bench: $(FULL)/.ready
	@mkdir -p $(BENCH)
	$(FULL)/bin/crossiqa bench --views 1 --views 5 --out $(BENCH)/points.jsonl --report $(BENCH)/tradeoff.html
	$(FULL)/bin/crossiqa bench roofline > $(BENCH)/roofline.md
	$(FULL)/bin/crossiqa bench scaling --out $(BENCH)/scaling.png > $(BENCH)/scaling.md
	$(FULL)/bin/crossiqa bench peers > $(BENCH)/peers.md
	$(FULL)/bin/python -m crossiqa_edge.bench.document $(BENCH) > $(BENCH)/benchmarks.md
	@echo "The report is $(BENCH)/tradeoff.html; the page about all of it, $(BENCH)/benchmarks.md"

$(DEMO)/.ready: pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --quiet --constraint constraints.txt --editable .
	@mkdir -p out
	@touch $@

$(FULL)/.ready: pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(FULL)
	$(FULL)/bin/pip install --quiet --constraint constraints.txt --editable '.[train,export,openvino,bench,tensorrt-rtx,serve,heif,dev]'
	@touch $@

clean:
	rm -rf $(DEMO) $(FULL) out build dist *.egg-info
