import { taygaDifferential } from "../support/tayga-differential.ts";

taygaDifferential(20_000, 4600);
