import { taygaDifferential } from "../support/tayga-differential.ts";

taygaDifferential(2_000, 46);
