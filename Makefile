# `make demo` and `make test` are all that a new machine needs: what is missing, they install (Tests/Harness/setup).

SHELL := /bin/bash
HARNESS := Tests/Harness
SOURCES := Sources Tests Package.swift

# OpenStack's client for object storage is a program named swift as well: the one beside the compiler is meant.
export PATH := $(patsubst %/,%:,$(dir $(shell command -v swiftc)))$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup build demo run test bench soak sanitize format lint clean

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## Install what is missing: Debian packages, Python environments under .work/
	@$(HARNESS)/setup

build: setup ## Build everything, debug
	@swift build

demo: setup ## The main job end to end on two simulated hosts, each step shown
	@exec $(HARNESS)/demo

run: setup ## A broker and a worker with two simulated hosts, until Ctrl-C
	@exec $(HARNESS)/serve

test: setup ## Every test; FILTER=pattern runs some; the output is also in .work/test.log
	@exec $(HARNESS)/run-tests $(if $(FILTER),--filter '$(FILTER)')

soak: setup ## The long forms of the tests of bad days, then a soak of MINUTES (60); FILTER=SoakTests is the soak alone
	@exec $(HARNESS)/run-tests --minutes $(or $(MINUTES),60) $(if $(FILTER),--filter '$(FILTER)')

sanitize: setup ## The tests under the thread sanitizer, then the address sanitizer; FILTER=pattern runs some
	@status=0; for kind in thread address; do \
	    $(HARNESS)/run-tests --sanitize $$kind $(if $(FILTER),--filter '$(FILTER)') || status=1; \
	done; exit $$status

bench: setup ## Throughput, latency and CPU against a C and a Python server
	@exec Tests/Benchmarks/run

format: ## Format the sources
	@swift format --in-place --recursive $(SOURCES)

lint: ## Check the format
	@swift format lint --strict --recursive $(SOURCES)

clean: ## Stop what runs here, remove what was built and .work/
	@$(HARNESS)/clean
