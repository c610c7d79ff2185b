import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'

/** One finished file of a build: an absolute path and its whole content. */
export interface OutputFile {
  readonly path: string
  readonly contents: Uint8Array | string
}

/**
 * Makes `directory` hold exactly `files`. Each file is written beside its place and renamed into it; what lies deeper comes first and
 * leftovers go last, so a process that starts during a build finds the old entry with its old chunks or the new one with its new chunks.
 */
export function writeOutputs(directory: string, files: readonly OutputFile[]): void {
  for (const { path } of files) {
    if (relative(directory, path).startsWith('..')) throw new Error(`${path} lies outside ${directory}`)
  }
  const wanted = new Set(files.map(({ path }) => path))
  for (const file of [...files].sort((a, b) => depth(b.path) - depth(a.path))) {
    mkdirSync(dirname(file.path), { recursive: true })
    const temporary = `${file.path}.${process.pid}.part`
    writeFileSync(temporary, file.contents)
    renameSync(temporary, file.path)
  }
  for (const path of filesUnder(directory)) if (!wanted.has(path)) rmSync(path, { force: true })
}

function depth(path: string): number {
  return path.split(sep).length
}

/** Paths of all files below `directory`, none if it does not exist. */
export function filesUnder(directory: string): string[] {
  if (!statSync(directory, { throwIfNoEntry: false })) return []
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}
