import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** One node of a cluster on this machine. */
export interface LocalNode {
  /** Counted from 1. */
  readonly id: number
  /** For clients. */
  readonly port: number
  /** For the other nodes. Never changes: the cluster's own log names it. */
  readonly controllerPort: number
}

/** What has to be the same at each start of a local cluster. */
export interface ClusterFile {
  /** Kafka's form of a UUID: 22 letters. */
  readonly clusterId: string
  /** What nodes prove to each other. */
  readonly secret: string
  /** By id, from 1 on without gaps. */
  readonly nodes: readonly LocalNode[]
}

/** The file is not one of ours, or damaged. The message is for the user. */
export class ClusterFileError extends Error {}

const VERSION = 1
const NAME = 'cluster.json'
const CLUSTER_ID = /^[A-Za-z0-9_-]{22}$/
const MIN_SECRET_LENGTH = 16
/** Other users of the machine must not read the secret. */
const MODE = 0o600

/** What the directory remembers, or null if no cluster was ever started in it. Throws {@link ClusterFileError}. */
export function readClusterFile(directory: string): ClusterFile | null {
  const path = join(directory, NAME)
  if (!existsSync(path)) return null
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new ClusterFileError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (typeof value !== 'object' || value === null) throw new ClusterFileError(`${path} holds no cluster`)
  const { version, clusterId, secret, nodes } = value as Record<string, unknown>
  if (version !== VERSION) {
    throw new ClusterFileError(`${path} has version ${String(version)}; this program knows ${VERSION}`)
  }
  const isSound =
    typeof clusterId === 'string' &&
    CLUSTER_ID.test(clusterId) &&
    typeof secret === 'string' &&
    secret.length >= MIN_SECRET_LENGTH &&
    Array.isArray(nodes) &&
    nodes.length > 0 &&
    nodes.every((node, slot) => isNode(node, slot + 1))
  if (!isSound) throw new ClusterFileError(`${path} is damaged: its cluster id, secret or nodes are not what they were`)
  return { clusterId, secret, nodes: nodes.map(({ id, port, controllerPort }) => ({ id, port, controllerPort })) }
}

function isNode(value: unknown, id: number): value is LocalNode {
  if (typeof value !== 'object' || value === null) return false
  const node = value as Record<string, unknown>
  return node.id === id && isPort(node.port) && isPort(node.controllerPort)
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535
}

/** Writes the file so that a crash leaves the old one or the new one. Makes the directory. */
export function writeClusterFile(directory: string, file: ClusterFile): void {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, NAME)
  const text = `${JSON.stringify({ version: VERSION, ...file }, null, 2)}\n`
  const descriptor = openSync(`${path}.new`, 'w', MODE)
  try {
    writeSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(`${path}.new`, path)
  syncDirectory(directory)
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
