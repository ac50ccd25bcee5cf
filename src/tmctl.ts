#!/usr/bin/env node
import { createProgram, runProgram } from "./cli/program.ts";
import { defineTmctl } from "./cli/tmctl.ts";

await runProgram(defineTmctl(createProgram("tmctl")), process.argv);
