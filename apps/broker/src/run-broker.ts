import {
  CollectionNudge,
  ConfigurationError,
  RealClock,
  RealDisk,
  RealRandom,
  RealTimers,
  type Timers,
} from '@millrace/base'
import { Broker, type ClusterSettings, type Configuration } from '@millrace/broker'
import { loadConfiguration } from './configuration.ts'
import type { BrokerQuorum } from './controller/cluster-node.ts'
import { descriptorLimit, NodeHealth } from './node-health.ts'
import { type LogLevel, ProcessLogger } from './process-logger.ts'
import { startFailureText } from './start-failure.ts'
import { withinStopLimit } from './stop-limit.ts'
import { ThreadBatchChecks } from './thread-batch-checks.ts'
import { ThreadCleanEngine } from './thread-clean-engine.ts'

/** What the command line says. */
export interface RunOptions {
  readonly configFile: string | null
  /** Settings in the order given; later ones win. `port` is short for the one plain listener on loopback. */
  readonly settings: readonly (readonly [key: string, value: string])[]
  readonly logLevel: LogLevel
  /** No hints for beginners on standard output. */
  readonly quiet: boolean
}

const EXIT_FAILED = 1
/** A start takes well under a second. One that takes longer waits, for the rest of its quorum most often, and what it logs is wanted now. */
const SILENT_START_MS = 2_000
/** A setting is wrong: the same code as for a wrong flag. */
const EXIT_USAGE = 2

/**
 * Runs a node in this process, a broker unless its settings make it a controller alone, until it is told to stop (SIGINT, SIGTERM) or cannot go on. Real ports are made here and nowhere
 * else. Resolves to the exit code.
 */
export async function runBroker(options: RunOptions): Promise<number> {
  const logger = new ProcessLogger(options.logLevel)
  process.on('exit', () => logger.flushNow())
  const health = new NodeHealth(process.env)
  const stopped = Promise.withResolvers<number>()
  const onFatal = (error: Error): void => {
    logger.error('the broker cannot go on', { error: error.stack ?? error.message })
    logger.flushNow()
    // At once: what is in memory must not be acknowledged any more.
    process.exit(EXIT_FAILED)
  }
  // Scripts wait for the first line (`start | grep -m1 ready`) and close the pipe: no reason to stop serving.
  process.stdout.on('error', (error) => logger.debug('nobody reads standard output', { error: error.message }))
  process.on('uncaughtException', onFatal)
  process.on('unhandledRejection', (reason) => onFatal(reason instanceof Error ? reason : new Error(String(reason))))
  const silence = new RealTimers().setTimer(SILENT_START_MS, () => {
    logger.load().catch(onFatal)
  })
  let node: RunningNode
  try {
    const { configFile, settings } = options
    const configuration = loadConfiguration({ configFile, settings, environment: process.env }, logger)
    node = await startNode(configuration, logger, health, onFatal)
  } catch (error) {
    logger.flushNow()
    process.stderr.write(`millrace: ${startFailureText(error)}\n`)
    if (options.logLevel === 'debug' && error instanceof Error) process.stderr.write(`${error.stack}\n`)
    return error instanceof ConfigurationError ? EXIT_USAGE : EXIT_FAILED
  } finally {
    silence.cancel()
  }
  const stop = (signal: string): void => {
    logger.info('stopping', { signal })
    withinStopLimit(node.stop(), new RealTimers()).then(
      () => stopped.resolve(0),
      (error: unknown) => onFatal(error instanceof Error ? error : new Error(String(error))),
    )
  }
  process.once('SIGINT', () => stop('SIGINT'))
  process.once('SIGTERM', () => stop('SIGTERM'))
  // Only now: who reads the line may stop the broker at once.
  announce(node, options)
  await logger.load()
  return stopped.promise
}

/** What this process became: a broker, with or without others, or a controller. */
interface RunningNode {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly isBroker: boolean
  stop(): Promise<void>
}

async function startNode(
  configuration: Configuration,
  logger: ProcessLogger,
  health: NodeHealth,
  onFatal: (error: Error) => void,
): Promise<RunningNode> {
  const { nodeId, broker: config } = configuration
  const { cluster } = config
  // A single node needs none of it, and its start is measured in milliseconds.
  const clusterNode = cluster === null ? null : await import('./controller/cluster-node.ts')
  if (clusterNode !== null && cluster?.isBroker === false) {
    const controller = await clusterNode.startController(configuration, cluster, logger, onFatal)
    return { nodeId, host: controller.host, port: controller.port, isBroker: false, stop: () => controller.stop() }
  }
  const quorum = await (clusterNode?.startBrokerQuorum(configuration, cluster as ClusterSettings, logger) ?? null)
  const timers = new RealTimers()
  const nudge = new CollectionNudge({ timers })
  try {
    const broker = await startBroker(configuration, quorum, logger, health, onFatal, timers, nudge)
    const [first] = broker.endpoints
    const stop = (): Promise<void> => {
      nudge.close()
      return broker.stop()
    }
    return { nodeId, host: first?.host ?? '', port: first?.port ?? 0, isBroker: true, stop }
  } catch (error) {
    await quorum?.port.close()
    throw error
  }
}

function startBroker(
  configuration: Configuration,
  quorum: BrokerQuorum | null,
  logger: ProcessLogger,
  health: NodeHealth,
  onFatal: (error: Error) => void,
  timers: Timers,
  nudge: CollectionNudge,
): Promise<Broker> {
  return Broker.start({
    configuration,
    logger,
    loggers: logger,
    onFatal,
    ports: {
      disk: new RealDisk({ nudge }),
      clock: new RealClock(),
      timers,
      random: new RealRandom(),
      health,
      descriptorLimit: descriptorLimit(),
      scheduleTurn: (callback) => setImmediate(callback),
      preloads: true,
      batchChecks: new ThreadBatchChecks(),
      createCleanEngine: () => new ThreadCleanEngine(),
      ...(quorum === null ? {} : { cluster: quorum }),
    },
  })
}

/** The line that scripts wait for, then how to try it. The time is from the start of the process. */
function announce(node: RunningNode, options: RunOptions): void {
  const host = node.host === '' ? '127.0.0.1' : node.host
  const address = `${host.includes(':') ? `[${host}]` : host}:${node.port}`
  const milliseconds = Math.round(performance.now())
  process.stdout.write(`ready ${address} node ${node.nodeId} pid ${process.pid} in ${milliseconds} ms\n`)
  if (options.quiet || !node.isBroker) return
  const flag = node.port === 9092 ? '' : ` --bootstrap-server ${address}`
  process.stdout.write(
    [
      '',
      'Try it from another terminal:',
      `  npx millrace produce greetings${flag}        # a line is a record; Ctrl-D ends`,
      `  npx millrace consume greetings --from beginning${flag}`,
      `Metrics: http://${address}/metrics    Stop: Ctrl-C`,
      '',
    ].join('\n'),
  )
}
