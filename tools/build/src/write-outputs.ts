import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** One finished file of a build: an absolute path and its whole content. */
export interface OutputFile {
  readonly path: string
  readonly contents: Uint8Array | string
}

/**
 * Makes `directory` hold exactly `files`. Each file is written beside its place and renamed into it, and leftovers go last, so a
 * process that starts from this folder during a build finds a whole set of either the old or the new files.
 */
export function writeOutputs(directory: string, files: readonly OutputFile[]): void {
  const wanted = new Set<string>()
  for (const file of files) {
    if (relative(directory, file.path).startsWith('..')) throw new Error(`${file.path} lies outside ${directory}`)
    wanted.add(file.path)
    mkdirSync(dirname(file.path), { recursive: true })
    const temporary = `${file.path}.${process.pid}.part`
    writeFileSync(temporary, file.contents)
    renameSync(temporary, file.path)
  }
  for (const path of filesUnder(directory)) if (!wanted.has(path)) rmSync(path)
}

/** Paths of all files below `directory`, none if it does not exist. */
export function filesUnder(directory: string): string[] {
  if (!statSync(directory, { throwIfNoEntry: false })) return []
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}
