# `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
CONFIG ?= debug
SEEDS ?= 500

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install what is missing (Debian packages, the Python environment); Swift itself is the one prerequisite
	@Tools/scripts/setup.sh

build: setup ## build everything, debug
	swift build

release: setup ## build the roadstead binary, release
	swift build -c release --product roadstead

tour: setup ## run lab 1 on a throw-away region with the real aws CLI (KEEP=1 leaves the region running)
	@Tools/scripts/build-quietly.sh release
	@$(VENV)/bin/python compat/tour.py --binary .build/release/roadstead $(if $(KEEP),--keep)

test: setup ## unit, property, fuzz and simulation tests, then a short black-box pass over every capability
	@ROADSTEAD_SEEDS=$(SEEDS) Tools/scripts/test.sh

soak: setup ## the long runs: all seeds, kill -9 rounds, big objects, scale, peers; figures go to docs/soak.md
	@Tools/scripts/soak.sh

bench: setup ## measure us and the peers in the same run; prints a table of figures and ratios
	@Tools/scripts/build-quietly.sh release
	@$(VENV)/bin/python compat/bench.py --binary .build/release/roadstead

lint: setup ## formatting, generated code, shell scripts
	@Tools/scripts/lint.sh

fmt: ## format the Swift sources in place
	swift format format -i -r --configuration .swift-format Sources Tests Package.swift

generate: setup ## regenerate models, field keys and protocols from the installed botocore
	$(VENV)/bin/python Tools/shapegen/shapegen.py

clean: ## remove build products
	swift package clean

.PHONY: help setup build release tour test soak bench lint fmt generate clean
