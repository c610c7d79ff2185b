/** How much a campaign does, by the names of its options: `{ kills: 1000 }` is `--kills 1000`. */
export type Size = Readonly<Record<string, number>>

/** One way to attack the broker or a part of it, as long as one likes. */
export interface Campaign {
  /** As on the command line. */
  readonly name: string
  /** One line of the help. */
  readonly summary: string
  /** What CI runs in half a minute or so, and what the figures in `docs/reliability.md` come from. Both name the same options. */
  readonly sizes: { readonly ci: Size; readonly full: Size }
  run(context: CampaignContext): Promise<CampaignResult>
}

export interface CampaignContext {
  /** The project's folder. */
  readonly root: string
  readonly size: Size
  /** Of everything that is left to chance. Not of what real processes and the machine's scheduler do. */
  readonly seed: number
  /** Aborted when the user wants it to end: what was done until then is the result. */
  readonly signal: AbortSignal
  /** Shown as a bar with the time that is left. */
  progress(doneCount: number, totalCount: number): void
  /** A line of its own: what was found, how to see it again. */
  report(line: string): void
}

export interface CampaignResult {
  /** Checks that held: crash points, kills, frames … */
  readonly passedCount: number
  /** One line for each check that did not hold, with what makes it happen again. */
  readonly failures: readonly string[]
  /** What else is worth keeping, by names that end in their unit: `{ longestStallMs: 12 }`. One that is no number fails the run. */
  readonly figures: Readonly<Record<string, number>>
  /** Of a run that was stopped: options with which another goes on where it was. */
  readonly resume?: Size
  /** What a recorded run that was not stopped writes, by path in the project. */
  readonly pages?: readonly { readonly path: string; readonly contents: string }[]
}
