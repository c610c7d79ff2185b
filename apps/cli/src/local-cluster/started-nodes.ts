import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from '../usage-error.ts'

/** Each node writes it into its log directories when it first starts. */
const NODE_FILE = 'meta.properties'

/** Where a node of the cluster in this directory has its files. */
export function nodeDirectory(directory: string, { id }: { readonly id: number }): string {
  return join(directory, `node-${id}`)
}

/** Whether any node of the cluster has ever started, and so has its cluster's id on disk. */
export function hasStartedNode(directory: string, nodes: readonly { readonly id: number }[]): boolean {
  return nodes.some((node) => existsSync(join(nodeDirectory(directory, node), NODE_FILE)))
}

/**
 * Throws {@link UsageError} where the directory is that of a node which is no part of a local cluster: new nodes beside its files would be
 * an empty cluster, and its data would seem to be lost.
 */
export function checkNoSingleNode(directory: string): void {
  if (!existsSync(join(directory, NODE_FILE))) return
  throw new UsageError(
    `${directory} holds the data of a single node, which a cluster does not take over: give the cluster a directory of its own with --data-dir, or start the single node without --cluster`,
  )
}
