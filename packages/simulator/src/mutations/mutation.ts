import type { Layer } from '../run-result.ts'

/** A deliberate mistake: one piece of source in the place of another. Shipped code knows nothing of it. */
export interface Mutation {
  readonly name: string
  /** From the project's folder on. */
  readonly file: string
  /** Stands in the file exactly once. */
  readonly from: string
  readonly to: string
  /** Which simulation must catch it. */
  readonly layer: Layer
}

/** Makes mutations of the files in one folder, all for the same simulation. `folder`: from the project's folder on. */
export function mutationsIn(folder: string, layer: Layer) {
  return (name: string, file: string, from: string, to: string): Mutation => {
    return { name, file: `${folder}/${file}`, from, to, layer }
  }
}

/** The environment variable that names the defect a process runs with, and the one that says it was put in place. */
export const MUTATION_VARIABLE = 'MILLRACE_MUTATION'
export const APPLIED_VARIABLE = 'MILLRACE_MUTATION_APPLIED'

/** Throws if the source is not what the mutation was made for. */
export function withMutation(source: string, { name, file, from, to }: Mutation): string {
  const count = source.split(from).length - 1
  if (count !== 1) throw new Error(`mutation "${name}": its piece of source stands ${count} times in ${file}`)
  return source.replace(from, () => to)
}
