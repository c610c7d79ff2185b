import { type Disk, type Random, randomUuid, type Uuid } from '@millrace/base'
import { replaceFile } from './atomic-file.ts'
import { META_PROPERTIES_FILE, parsePartitionDirectoryName } from './file-names.ts'
import { CorruptFileError, readIfPresent } from './text-checkpoint.ts'

/** `meta.properties` of a log directory: whose it is. */
export interface MetaProperties {
  clusterId: string | null
  nodeId: number
  directoryId: Uuid
}

/**
 * The properties of a directory, written if there are none yet. Throws `CorruptFileError` if the file is damaged or names another
 * cluster or node: data of another broker must not be served, nor deleted.
 */
export function openMetaProperties(
  disk: Disk,
  directory: string,
  expected: { clusterId: string | null; nodeId: number },
  random: Random,
): MetaProperties {
  const path = `${directory}/${META_PROPERTIES_FILE}`
  const text = readIfPresent(disk, path).toString('utf8')
  if (text === '' && holdsLogs(disk, directory)) throw new CorruptFileError(path, missingReason(disk, directory))
  const known = text === '' ? null : parse(path, text)
  if (known !== null && known.nodeId !== expected.nodeId) {
    throw new CorruptFileError(
      path,
      `belongs to node ${known.nodeId}, not ${expected.nodeId}: correct node.id, or give this node a directory of its own (log.dirs)`,
    )
  }
  if (known !== null && known.clusterId !== null && expected.clusterId !== null) {
    if (known.clusterId !== expected.clusterId)
      throw new CorruptFileError(
        path,
        `belongs to cluster ${known.clusterId}, not ${expected.clusterId}: correct cluster.id, or give this node a directory of its own (log.dirs)`,
      )
  }
  const properties = {
    clusterId: expected.clusterId ?? known?.clusterId ?? null,
    nodeId: expected.nodeId,
    directoryId: known?.directoryId ?? randomUuid(random),
  }
  const contents = encode(properties)
  if (contents !== text) replaceFile(disk, directory, META_PROPERTIES_FILE, Buffer.from(contents))
  return properties
}

/** The id of a log directory, or null where it names none that can be read. Throws `DiskError`. */
export function readDirectoryId(disk: Disk, directory: string): Uuid | null {
  const path = `${directory}/${META_PROPERTIES_FILE}`
  const text = readIfPresent(disk, path).toString('utf8')
  try {
    return text === '' ? null : parse(path, text).directoryId
  } catch (error) {
    if (error instanceof CorruptFileError) return null
    throw error
  }
}

function holdsLogs(disk: Disk, directory: string): boolean {
  return disk.listDirectory(directory).some((name) => parsePartitionDirectoryName(name) !== null)
}

/** The directories of a local cluster's nodes look like those of partitions: `node-1`. */
function missingReason(disk: Disk, directory: string): string {
  return disk.listDirectory(directory).includes(LOCAL_CLUSTER_FILE)
    ? 'missing: the directory holds the nodes of a local cluster, start it with --cluster N'
    : 'missing or empty beside logs: restore it from a copy, or choose another directory'
}

/** What the command line keeps of a local cluster (`start --cluster`), beside the directories of its nodes. */
const LOCAL_CLUSTER_FILE = 'cluster.json'

function encode({ clusterId, nodeId, directoryId }: MetaProperties): string {
  const cluster = clusterId === null ? '' : `cluster.id=${clusterId}\n`
  return `version=1\n${cluster}node.id=${nodeId}\ndirectory.id=${directoryId}\n`
}

function parse(path: string, text: string): MetaProperties & { directoryId: Uuid } {
  const values = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const separator = line.indexOf('=')
    if (separator > 0 && !/^\s*[#!]/.test(line))
      values.set(line.slice(0, separator).trim(), line.slice(separator + 1).trim())
  }
  const nodeText = values.get('node.id') ?? values.get('broker.id') ?? ''
  if (!/^\d{1,10}$/.test(nodeText)) throw new CorruptFileError(path, 'no node id')
  const directoryId = values.get('directory.id') ?? ''
  if (!/^[A-Za-z0-9_-]{22}$/.test(directoryId)) throw new CorruptFileError(path, 'no directory id')
  return { clusterId: values.get('cluster.id') ?? null, nodeId: Number(nodeText), directoryId: directoryId as Uuid }
}
