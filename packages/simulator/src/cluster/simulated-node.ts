import { type DiskErrorCode, type DiskOperation, SimulatedDisk, type Uuid } from '@millrace/base'
import { Broker, Configuration, controllerSettings, createConfigRules, type Logger } from '@millrace/broker'
import {
  type ControllerEvents,
  ControllerNode,
  type ControllerPort,
  type PeerEvents,
  QuorumNode,
  type VoterSet,
} from '@millrace/consensus'
import { readMovedReplicas, rotRecords } from '@millrace/storage/testing'
import { connectOver, listenOver } from '../network/byte-ports.ts'
import { SimulatedPeerTransport } from '../network/peer-network.ts'
import type { StreamNetwork } from '../network/stream-network.ts'
import { ProcessLoop } from '../world/process-loop.ts'
import type { RandomStream } from '../world/random-stream.ts'
import type { World } from '../world/world.ts'
import { SimulatedCleanThread } from './compaction/clean-thread.ts'
import { RaftDirectory, SimulatedRaftStore } from './simulated-raft-store.ts'

export interface NodeSurroundings {
  readonly world: World
  readonly network: StreamNetwork
  readonly voters: VoterSet
  readonly clusterId: string
  readonly settings: Readonly<Record<string, string>>
  /** Looks on at what the controllers tell a broker. */
  watch(node: SimulatedNode, events: ControllerEvents): ControllerEvents
  /** Before the process ends. */
  onEnding(node: SimulatedNode): void
  /** Before something of a file is removed. */
  beforeCut(node: SimulatedNode, path: string): void
  /** Before a file or directory gets another name. */
  beforeRename(node: SimulatedNode, path: string): void
  /** The broker serves. */
  onServing(node: SimulatedNode): void
  /** The process ended by itself: it could not start, or something was fatal. */
  onExit(node: SimulatedNode, error: unknown): void
}

/** Log directories of each node, each a disk of its own. */
export const DIRECTORIES: readonly string[] = ['/disk-0', '/disk-1']

/** What one life of the process is made of. */
interface Life {
  readonly loop: ProcessLoop
  readonly store: SimulatedRaftStore
  readonly controller: ControllerNode
}

/** One node of the cluster: controller and broker in one process, over a disk and a directory of the quorum's log that outlive it. */
export class SimulatedNode {
  readonly id: number
  readonly directoryId: Uuid
  readonly directory = new RaftDirectory()
  disk: SimulatedDisk
  /** Milliseconds that an operation on the disk takes. */
  diskMs = 0.3
  broker: Broker | null = null
  /** Called when a sync of the disk begins, and when it has been done. */
  onSync: ((isAfter: boolean) => void) | null = null
  /** Called before each change of the disk, in all lives. */
  onDiskChange: ((operation: DiskOperation, path: string) => void) | null = null
  /** The same for those who look on all the time. */
  readonly diskWatchers = new Set<(operation: DiskOperation, path: string) => void>()
  lifeCount = 0
  #life: Life | null = null
  #isDiskFull = false
  #failingDirectory: string | null = null
  /** An operation has met that. */
  #hasFailed = false
  /** What an end amid a turn leaves of the disk. */
  #heldDisk: SimulatedDisk | null = null
  readonly #around: NodeSurroundings
  readonly #random: RandomStream

  constructor(id: number, directoryId: Uuid, around: NodeSurroundings) {
    this.id = id
    this.directoryId = directoryId
    this.#around = around
    this.#random = around.world.stream(`node ${id}`)
    this.disk = new SimulatedDisk({ random: around.world.stream(`disk ${id}`) })
  }

  get isUp(): boolean {
    return this.#life !== null
  }

  /** The log directory whose disk answers everything with an error; null: none does. */
  get failingDirectory(): string | null {
    return this.#failingDirectory
  }

  get onlineDirectories(): readonly string[] {
    return DIRECTORIES.filter((directory) => directory !== this.#failingDirectory)
  }

  get loop(): ProcessLoop | null {
    return this.#life?.loop ?? null
  }

  get controller(): ControllerNode | null {
    return this.#life?.controller ?? null
  }

  start(): void {
    const { world, network } = this.#around
    this.lifeCount++
    const loop = new ProcessLoop(world, this.id)
    const store = new SimulatedRaftStore(this.directory, loop, this.#random)
    const disk = this.disk
    // Operations of the thread pool take their time; those of a process that ends are never heard of again.
    disk.settle = (operation) =>
      new Promise((resolve) => {
        if (operation === 'sync') this.onSync?.(false)
        loop.after(this.diskMs * this.#random.real(0.3, 2), `disk ${operation}`, () => {
          if (operation === 'sync') this.onSync?.(true)
          resolve()
        })
      })
    this.setDiskFull(this.#isDiskFull)
    disk.fault = (_, path) => this.#faultOf(path)
    disk.onChange = (operation, path) => {
      if (operation === 'truncate' || operation === 'remove') this.#around.beforeCut(this, path)
      if (operation === 'rename') this.#around.beforeRename(this, path)
      this.onDiskChange?.(operation, path)
      for (const watch of this.diskWatchers) watch(operation, path)
    }
    const peers: { quorum: QuorumNode | null; controller: ControllerNode | null } = { quorum: null, controller: null }
    const transport = new SimulatedPeerTransport(network, loop, toBoth(peers))
    const configuration = this.#configuration()
    const controller = new ControllerNode({
      nodeId: this.id,
      clusterId: this.#around.clusterId,
      transport,
      clock: loop,
      timers: loop,
      random: world.stream(`controller ${this.id} ${this.lifeCount}`),
      configRules: createConfigRules(configuration),
      settings: () => controllerSettings(configuration),
      openQuorum: (listener, onFatal) => {
        peers.quorum = new QuorumNode({
          self: { id: this.id, directoryId: this.directoryId },
          store,
          transport,
          listener,
          bootstrapVoters: this.#around.voters,
          bootstrapEndpoints: new Map(this.#around.voters.map(({ id, host, port }) => [id, { host, port }])),
          clock: loop,
          timers: loop,
          random: world.stream(`quorum ${this.id} ${this.lifeCount}`),
          onFatal,
        })
        return peers.quorum
      },
      onProblem: (error) => world.trace?.(world.nowMs, this.id, `controller: ${describe(error)}`),
    })
    peers.controller = controller
    this.#life = { loop, store, controller }
    world.trace?.(world.nowMs, this.id, `starts, life ${this.lifeCount}`)
    this.#startBroker(configuration, loop, controller, disk)
  }

  /**
   * The process dies between two operations of the disk, in the middle of a turn: what this turn still does is not done, and nothing happens
   * to the process any more. A {@link crash} must follow at the same moment.
   */
  holdForCrash(): void {
    this.#heldDisk ??= this.disk.fork()
    this.#life?.loop.pause()
  }

  /** The process is gone; with `losesPower`, what its disk had not synced may be gone too. */
  crash(losesPower: boolean): void {
    const life = this.#life
    if (life === null) return
    const { world, network } = this.#around
    world.trace?.(world.nowMs, this.id, losesPower ? 'loses power' : 'is killed')
    this.#around.onEnding(this)
    this.#life = null
    this.broker = null
    this.onSync = null
    life.loop.end()
    life.store.onProcessEnded()
    network.onProcessEnded(life.loop)
    if (this.#heldDisk !== null) this.disk = this.#heldDisk
    this.#heldDisk = null
    if (losesPower) this.#losePower()
    else this.disk = this.disk.killed()
    // They were in the memory of the process.
    this.disk.forgetViews()
  }

  /** No file can grow any more, or all can again. What fits into a file as it is can still be written. */
  setDiskFull(isFull: boolean): void {
    this.#isDiskFull = isFull
    this.disk.options.capacityBytes = isFull ? this.disk.usedBytes : Number.POSITIVE_INFINITY
  }

  /** From now on each operation on the directory fails, until it is mended. */
  failDirectory(directory: string): void {
    this.#failingDirectory = directory
    this.#hasFailed = false
  }

  /**
   * The operator gives the directory its disk back, as the medium holds it, or, with `isReplaced`, another one that is empty: the machine is
   * turned off for that, and the process ends.
   */
  mendDirectory(isReplaced: boolean): void {
    const directory = this.#failingDirectory
    if (directory === null) return
    if (this.#hasFailed) this.#around.world.mark('log directory failed')
    this.#failingDirectory = null
    if (this.isUp) this.crash(true)
    else this.#losePower()
    if (isReplaced) this.disk.takeAway(directory)
    else this.#removeReplaced(directory)
  }

  /** The disks are empty from now on. The process must be down. */
  wipe(): void {
    this.#failingDirectory = null
    this.disk = new SimulatedDisk({ random: this.#around.world.stream(`disk ${this.id} ${this.lifeCount}`) })
  }

  /** By which the metadata knows a log directory; null: it has never been in use. */
  idOfDirectory(directory: string): string | null {
    const path = `${directory}/meta.properties`
    if (this.disk.stat(path) === null) return null
    return /directory\.id=(.{22})/.exec(this.disk.peek(path).toString())?.[1] ?? null
  }

  /** What the disks that are well have of moves that are not over: future logs, and notes of those that took the place of others. */
  movesOnDisk(): string[] {
    return this.onlineDirectories.flatMap((directory) => {
      const futures = this.#namesIn(directory).filter((name) => name.endsWith('-future'))
      const notes =
        this.disk.stat(`${directory}/moved-replicas`) === null ? [] : readMovedReplicas(this.disk, directory)
      return [...futures, ...notes.map(({ topic, partition }) => `note of ${topic}-${partition}`)]
    })
  }

  /**
   * A bit turns over on the medium, in one of the files that a broker can make again, which is drawn; null: there is none. The process must
   * be down.
   */
  rot(): string | null {
    // Amid a move the topics' ids in two directories are all that tells which log counts.
    const isMoving = this.movesOnDisk().length > 0
    const isKept = (path: string): boolean => {
      return NOT_DERIVED.test(path) || (isMoving && path.endsWith('/partition.metadata'))
    }
    const files = DIRECTORIES.flatMap((path) => this.#filesUnder(path)).filter((path) => !isKept(path))
    if (files.length === 0) return null
    const path = this.#random.pick(files)
    this.disk.corrupt(path, this.#random.integer(0, this.disk.stat(path)!.sizeBytes), 1 << this.#random.integer(0, 8))
    return path
  }

  /** The same of what tells whose a log is. Not amid a move: there it tells which log counts, too. */
  rotIdentity(): string | null {
    const files = DIRECTORIES.flatMap((path) => this.#filesUnder(path)).filter((path) => IDENTITY.test(path))
    if (files.length === 0 || this.movesOnDisk().length > 0) return null
    const path = this.#random.pick(files)
    this.disk.corrupt(path, this.#random.integer(0, this.disk.stat(path)!.sizeBytes), 1 << this.#random.integer(0, 8))
    return path
  }

  /** The same of records that the node knows to have synced. */
  rotRecords(): string | null {
    const logs = DIRECTORIES.flatMap((directory) => {
      const names = this.#namesIn(directory).filter((name) => /-[0-9]+$/.test(name))
      return names.map((name) => ({ directory, name }))
    })
    if (logs.length === 0) return null
    const { directory, name } = this.#random.pick(logs)
    const bit = rotRecords(this.disk, directory, name, this.#random)
    return bit === null ? null : `${bit.path} ${bit.position}`
  }

  /**
   * What the start tells the operator to do, who knows which disk was away: of two logs of a partition the one that came back goes, if the other
   * was begun meanwhile. What moves leave the broker settles by itself.
   */
  #removeReplaced(directory: string): void {
    const isNoted = (name: string): boolean => this.movesOnDisk().includes(`note of ${name}`)
    for (const name of this.#namesIn(directory).filter((one) => /-[0-9]+$/.test(one) && !isNoted(one))) {
      const isBegunAnew = DIRECTORIES.some((other) => {
        return other !== directory && this.#namesIn(`${other}/${name}`).some((file) => file.endsWith('.log'))
      })
      if (!isBegunAnew) continue
      this.#around.world.mark('log of a disk that came back removed by the operator')
      this.disk.takeAway(`${directory}/${name}`)
    }
  }

  #losePower(): void {
    this.disk = this.disk.crashed({ choose: (count) => this.#random.integer(0, count) })
  }

  #faultOf(path: string): DiskErrorCode | null {
    const directory = this.#failingDirectory
    if (directory === null || (path !== directory && !path.startsWith(`${directory}/`))) return null
    this.#hasFailed = true
    return 'DISK_IO'
  }

  #namesIn(directory: string): string[] {
    return this.disk.stat(directory) === null ? [] : this.disk.listDirectory(directory)
  }

  #filesUnder(path: string): string[] {
    return this.#namesIn(path).flatMap((name) => {
      const child = `${path}/${name}`
      const stat = this.disk.stat(child)!
      if (stat.isDirectory) return this.#filesUnder(child)
      return stat.sizeBytes > 0 ? [child] : []
    })
  }

  #startBroker(configuration: Configuration, loop: ProcessLoop, controller: ControllerNode, disk: SimulatedDisk): void {
    const { world, network, clusterId, watch } = this.#around
    const port: ControllerPort = {
      start: (events) => controller.start(watch(this, events)),
      request: (name, request, timeoutMs) => controller.request(name, request, timeoutMs),
      heartbeat: (heartbeat) => controller.heartbeat(heartbeat),
      close: () => controller.close(),
    }
    let cleanThreadCount = 0
    const exit = (error: unknown): void => {
      if (!loop.isEnded) this.#around.onExit(this, error)
    }
    Broker.start({
      configuration,
      logger: this.#logger(),
      loggers: { levels: () => new Map([['root', 'INFO']]), setLevel: () => undefined, unsetLevel: () => undefined },
      onFatal: exit,
      ports: {
        disk,
        clock: loop,
        timers: loop,
        random: world.stream(`broker ${this.id} ${this.lifeCount}`),
        listen: listenOver(network, loop),
        connect: connectOver(network, loop),
        scheduleTurn: (callback) => {
          loop.after(0, 'turn', callback)
        },
        createCleanEngine: () => {
          const random = world.stream(`clean thread ${this.id} ${this.lifeCount} ${cleanThreadCount++}`)
          return new SimulatedCleanThread({ world, loop, disk, random })
        },
        cluster: { port, clusterId },
      },
    }).then((broker) => {
      if (loop.isEnded) return
      world.trace?.(world.nowMs, this.id, 'broker serves')
      this.broker = broker
      this.#around.onServing(this)
    }, exit)
  }

  #configuration(): Configuration {
    const { voters, clusterId, settings } = this.#around
    const own = {
      'node.id': String(this.id),
      'process.roles': 'broker,controller',
      'cluster.id': clusterId,
      listeners: `PLAINTEXT://node-${this.id}:9092,CONTROLLER://node-${this.id}:9093`,
      'controller.listener.names': 'CONTROLLER',
      'controller.quorum.voters': voters.map(({ id, host, port }) => `${id}@${host}:${port}`).join(','),
      'log.dirs': DIRECTORIES.join(','),
    }
    return new Configuration(new Map(Object.entries({ ...own, ...settings })), this.#logger())
  }

  #logger(): Logger {
    const { world } = this.#around
    const log = (level: string) => (message: string, fields?: Record<string, unknown>) =>
      world.trace?.(world.nowMs, this.id, `${level}: ${message} ${fields === undefined ? '' : JSON.stringify(fields)}`)
    return { debug: () => undefined, info: log('info'), warn: log('warn'), error: log('error') }
  }
}

/**
 * Who the directory is, which is the operator's to say, records, which are not fetched again from others, which log counts, and how far logs
 * are compacted, which is Kafka's file and has no checksum.
 */
const NOT_DERIVED = /meta\.properties$|moved-replicas$|cleaner-offset-checkpoint$|\.log$/

const IDENTITY = /-[0-9]+\/partition\.metadata$/

/** Events of the peers go to both: each takes those of its channel. */
function toBoth(peers: { readonly quorum: PeerEvents | null; readonly controller: PeerEvents | null }): PeerEvents {
  return {
    onMessage: (from, channel, payload) => {
      peers.quorum?.onMessage(from, channel, payload)
      peers.controller?.onMessage(from, channel, payload)
    },
    onConnected: (peer) => {
      peers.quorum?.onConnected(peer)
      peers.controller?.onConnected(peer)
    },
    onLost: (peer, why) => {
      peers.quorum?.onLost(peer, why)
      peers.controller?.onLost(peer, why)
    },
    onWritable: (peer) => {
      peers.quorum?.onWritable(peer)
      peers.controller?.onWritable(peer)
    },
  }
}

export function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
