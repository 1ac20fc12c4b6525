/** Kinds: the statistics by name, with what each says, for a person who sees it for the first time. */

const RATIO = "2 ln L ratio";
const EVIDENCE = "ln";

/** In the order of the chooser. `unit` stands on the axis; `evidence` kinds have a line to cross and no null band. */
export const KINDS = {
  t_score: {
    name: "t_score",
    unit: RATIO,
    what: "t_score tells how much better the density ratio learned from all chunks of the run so far describes them than the reference does, to first order. It needs no events of the past, and decides on the alarm unless the monitor says otherwise.",
  },
  t_profiled: {
    name: "t_profiled",
    unit: RATIO,
    what: "t_profiled is the smallest t_score over all mixtures of the reference with the tolerated templates: what no tolerated difference explains.",
  },
  t_agg: {
    name: "t_agg",
    unit: RATIO,
    what: "t_agg tells how much better the averaged density ratio of all chunks describes all their events than the reference does. It needs the events of the run; beyond a number of them it stands still, which is shown as frozen.",
  },
  t_ref: {
    name: "t_ref",
    unit: RATIO,
    what: "t_ref is the distance of the averaged density ratio from 1, over the reference. It needs no events of the past.",
  },
  log_e: {
    name: "log E",
    unit: EVIDENCE,
    evidence: true,
    what: "log E is the evidence won by betting on each chunk with what the chunks before it have taught. An ordinary run crosses the line with at most the probability that the monitor sets, however often one looks.",
  },
  log_sr: {
    name: "log e-SR",
    unit: EVIDENCE,
    evidence: true,
    what: "log e-SR sums the evidence of all possible beginnings of a change (Shiryaev and Roberts): it finds what begins late in a run.",
  },
  log_cusum: {
    name: "log e-CUSUM",
    unit: EVIDENCE,
    evidence: true,
    what: "log e-CUSUM is the evidence of the most likely beginning of a change: it finds what begins late in a run.",
  },
  log_e_poisson: {
    name: "log E (Poisson)",
    unit: EVIDENCE,
    evidence: true,
    what: "log E in the form that takes the reference for the truth and compares the number of events too.",
  },
  log_sr_poisson: {
    name: "log e-SR (Poisson)",
    unit: EVIDENCE,
    evidence: true,
    what: "log e-SR in the form that takes the reference for the truth and compares the number of events too.",
  },
  log_cusum_poisson: {
    name: "log e-CUSUM (Poisson)",
    unit: EVIDENCE,
    evidence: true,
    what: "log e-CUSUM in the form that takes the reference for the truth and compares the number of events too.",
  },
  t_sum: {
    name: "t_sum",
    unit: RATIO,
    what: "t_sum is the sum of the chunks' own t. Its null grows with each chunk, so it sees less than the aggregated statistics; it is here for comparison.",
  },
  t_chunk: {
    name: "t_chunk",
    unit: RATIO,
    what: "t_chunk tells how much better the density ratio learned from this one chunk describes it than the reference does.",
  },
};

/** The name of a kind for a person. */
export function kindName(kind) {
  return KINDS[kind]?.name ?? kind ?? "statistic";
}

/** The kinds that can be chosen of those a monitor has: all but a chunk's own, in their order. */
export function choices(present) {
  return Object.keys(KINDS).filter((kind) => kind !== "t_chunk" && present.includes(kind));
}
