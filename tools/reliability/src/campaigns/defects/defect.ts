import type { Attack } from './attack.ts'

/** A deliberate mistake in storage: one piece of source in the place of another. */
export interface Defect {
  readonly name: string
  /** In `packages/storage/src`. */
  readonly file: string
  /** Stands in the file exactly once. */
  readonly from: string
  readonly to: string
  /** Where it shows: what a hunt tries first. The checks are the same everywhere. */
  readonly shownBy: readonly Attack[]
}

/** The environment variable that names the defect a process runs with, and the one that says it was put in place. */
export const DEFECT_VARIABLE = 'MILLRACE_DEFECT'
export const APPLIED_VARIABLE = 'MILLRACE_DEFECT_APPLIED'

/** Throws if the source is not what the defect was made for. */
export function withDefect(source: string, { name, file, from, to }: Defect): string {
  const count = source.split(from).length - 1
  if (count !== 1) throw new Error(`defect "${name}": its piece of source stands ${count} times in ${file}`)
  return source.replace(from, () => to)
}
