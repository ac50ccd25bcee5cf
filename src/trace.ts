/**
 * What one resolution went through, for `egress46 dig`: called at each step with its name and what was found there.
 * Absent wherever nobody asked, so that it costs a comparison.
 */
export type Trace = (step: string, found: TraceDetail) => void;
export type TraceDetail = Readonly<Record<string, string | number | boolean>>;
