import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ShadowDirectory, type ShadowNode } from './shadow-directory.ts'
import type { ShadowFile } from './shadow-file.ts'

export interface Difference {
  /** Relative to the directory that was compared. */
  readonly path: string
  readonly text: string
  /** What was expected there; null if nothing was. */
  readonly node: ShadowNode | null
}

/** Where a real directory is not what its shadow says. Contents are read of files that were touched since the last power cut only. */
export function differencesFrom(tree: ShadowDirectory, root: string): Difference[] {
  const found: Difference[] = []
  const compare = (node: ShadowNode, path: string): void => {
    const full = join(root, path)
    const stat = statSync(full, { throwIfNoEntry: false })
    if (stat === undefined) found.push({ path, text: 'is missing', node })
    else if (node instanceof ShadowDirectory) {
      if (!stat.isDirectory()) return void found.push({ path, text: 'is no directory', node })
      for (const name of readdirSync(full)) {
        if (!node.names.has(name)) found.push({ path: join(path, name), text: 'is not expected', node: null })
      }
      for (const [name, child] of node.names) compare(child, join(path, name))
    } else if (stat.size !== node.sizeBytes) {
      found.push({ path, text: `has ${stat.size} bytes in place of ${node.sizeBytes}`, node })
    } else if (node.isTouched && !readFileSync(full).equals(node.contents())) {
      found.push({ path, text: 'has other contents', node })
    }
  }
  compare(tree, '')
  return found
}

/**
 * Turns the real directory, which is as `live` says, into what `after` says. What an unfinished operation may have touched is written
 * anew in any case.
 */
export function writeImage(
  live: ShadowDirectory,
  after: ShadowDirectory,
  root: string,
  unsure: ShadowFile | null,
): void {
  for (const [name, was] of live.names) {
    const node = after.names.get(name)
    const isSameKind = node !== undefined && was instanceof ShadowDirectory === node instanceof ShadowDirectory
    if (!isSameKind) rmSync(join(root, name), { recursive: true })
  }
  for (const [name, node] of after.names) {
    const was = live.names.get(name)
    const path = join(root, name)
    if (node instanceof ShadowDirectory) {
      const isThere = was instanceof ShadowDirectory
      if (!isThere) mkdirSync(path, { mode: 0o700 })
      writeImage(isThere ? was : new ShadowDirectory(), node, path, unsure)
    } else {
      const isThere = was !== undefined && !(was instanceof ShadowDirectory) && was !== unsure
      if (isThere && (was === node || was.contents().equals(node.contents()))) continue
      writeFileSync(path, node.contents(), { mode: 0o600 })
    }
  }
}
