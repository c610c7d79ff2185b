import { randomBytes } from 'node:crypto'
import { type Random, randomUuid } from '@millrace/base'
import { UsageError } from '../usage-error.ts'
import type { ClusterFile, LocalNode } from './cluster-file.ts'
import { freePorts, type PortProbe } from './free-ports.ts'
import { hasStartedNode, nodeDirectory } from './started-nodes.ts'

/** What the user asked for. */
export interface ClusterRequest {
  readonly size: number
  /** Of the first node; the others follow. 0: ports of former starts, else any. Null: the same, but 9092 at the first start. */
  readonly port: number | null
  readonly directory: string
}

const DEFAULT_PORT = 9092
const PORT_MAX = 65_535
const SECRET_BYTES = 24

/**
 * The cluster to run: what the directory remembers, or a new one. Ports for clients follow the request; what nodes know each other by stays.
 * Throws {@link UsageError} where the request does not fit the directory or the ports are taken.
 */
export async function planCluster(
  request: ClusterRequest,
  known: ClusterFile | null,
  random: Random,
  isFree: PortProbe,
): Promise<ClusterFile> {
  const { size, directory } = request
  if (known !== null && known.nodes.length !== size) {
    const count = known.nodes.length
    throw new UsageError(
      `${directory} holds a cluster of ${count} nodes: start it with --cluster ${count}, or another one with --data-dir`,
    )
  }
  const knownControllerPorts = known?.nodes.map(({ controllerPort }) => controllerPort) ?? []
  for (const [slot, port] of knownControllerPorts.entries()) {
    if (!(await isFree(port))) throw takenPort(port, `node ${slot + 1} meets the other nodes there`)
  }
  const ports = await clientPorts(request, known, new Set(knownControllerPorts), random, isFree)
  const controllerPorts = known ? knownControllerPorts : await freePorts(size, new Set(ports), random, isFree)
  return {
    clusterId: clusterIdOf(known, directory, random),
    secret: known?.secret ?? randomBytes(SECRET_BYTES).toString('base64url'),
    nodes: ports.map((port, slot) => ({ id: slot + 1, port, controllerPort: controllerPorts[slot]! })),
  }
}

/** Former versions made ids that begin with `-`, which nodes refuse: such a cluster has never run, and gets an id that they take. */
function clusterIdOf(known: ClusterFile | null, directory: string, random: Random): string {
  if (known === null) return randomUuid(random)
  const isRefused = known.clusterId.startsWith('-')
  return isRefused && !hasStartedNode(directory, known.nodes) ? randomUuid(random) : known.clusterId
}

async function clientPorts(
  { size, port }: ClusterRequest,
  known: ClusterFile | null,
  controllerPorts: ReadonlySet<number>,
  random: Random,
  isFree: PortProbe,
): Promise<number[]> {
  const isPicked = port === 0 || (port === null && known !== null)
  if (!isPicked) {
    const first = port ?? DEFAULT_PORT
    if (first + size - 1 > PORT_MAX)
      throw new UsageError(`--port ${first}: the last of ${size} nodes would need ${first + size - 1}`)
    const ports = Array.from({ length: size }, (_, slot) => first + slot)
    for (const one of ports) {
      if (controllerPorts.has(one)) throw takenPort(one, 'nodes of this cluster meet there')
      if (!(await isFree(one))) throw takenPort(one, 'choose others with --port, or --port 0 for any')
    }
    return ports
  }
  if (known !== null) {
    const ports = known.nodes.map((node) => node.port)
    const areFree = await Promise.all(ports.map(isFree))
    if (areFree.every(Boolean)) return ports
    // Asked for in so many words, or it would be a surprise to find the cluster elsewhere.
    if (port === null) throw takenPort(ports[areFree.indexOf(false)]!, 'choose others with --port, or --port 0 for any')
  }
  return freePorts(size, controllerPorts, random, isFree)
}

function takenPort(port: number, what: string): UsageError {
  return new UsageError(`port ${port} is in use (is the cluster running already?): ${what}`)
}

/** Settings that make the nodes a cluster: nobody else may set them. */
const OWN_SETTINGS: ReadonlySet<string> = new Set([
  'advertised.listeners',
  'broker.id',
  'cluster.id',
  'controller.listener.names',
  'controller.peer.secret',
  'controller.quorum.bootstrap.servers',
  'controller.quorum.voters',
  'listeners',
  'log.dir',
  'log.dirs',
  'metadata.log.dir',
  'node.id',
  'process.roles',
])

/** Throws {@link UsageError} for settings of the user that would take a node out of the cluster. */
export function checkOwnSettings(settings: readonly (readonly [key: string, value: string])[]): void {
  for (const [key] of settings) {
    if (OWN_SETTINGS.has(key)) {
      throw new UsageError(`--set ${key}: nodes of a local cluster each have their own; leave it to --cluster`)
    }
  }
}

/** Settings of one node, but for the secret, which has to stay out of command lines. */
export function nodeSettings(cluster: ClusterFile, node: LocalNode, directory: string): [key: string, value: string][] {
  const voters = cluster.nodes.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`)
  return [
    ['process.roles', 'broker,controller'],
    ['node.id', String(node.id)],
    ['cluster.id', cluster.clusterId],
    ['controller.quorum.voters', voters.join(',')],
    ['controller.listener.names', 'CONTROLLER'],
    ['listeners', `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}`],
    ['log.dirs', nodeDirectory(directory, node)],
  ]
}

/** The environment of a node: the process's own without what would set anything that is a node's own, and the secret. */
export function nodeEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  cluster: ClusterFile,
): Record<string, string> {
  const own = new Set([...OWN_SETTINGS].map(variableOf))
  own.add('MILLRACE_PORT')
  const kept: Record<string, string> = {}
  for (const [variable, value] of Object.entries(environment)) {
    if (value !== undefined && !own.has(variable)) kept[variable] = value
  }
  kept[variableOf('controller.peer.secret')] = cluster.secret
  return kept
}

function variableOf(key: string): string {
  return `MILLRACE_${key.toUpperCase().replaceAll('.', '_')}`
}
