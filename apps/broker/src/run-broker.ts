import { ConfigurationError, RealClock, RealDisk, RealRandom, RealTimers } from '@millrace/base'
import { Broker } from '@millrace/broker'
import { loadConfiguration } from './configuration.ts'
import { descriptorLimit, NodeHealth } from './node-health.ts'
import { type LogLevel, ProcessLogger } from './process-logger.ts'
import { startFailureText } from './start-failure.ts'
import { ThreadBatchChecks } from './thread-batch-checks.ts'

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
/** A setting is wrong: the same code as for a wrong flag. */
const EXIT_USAGE = 2

/**
 * Runs a broker in this process until it is told to stop (SIGINT, SIGTERM) or cannot go on. Real ports are made here and nowhere
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
  let broker: Broker
  try {
    const { configFile, settings } = options
    const configuration = loadConfiguration({ configFile, settings, environment: process.env }, logger)
    broker = await Broker.start({
      configuration,
      logger,
      loggers: logger,
      onFatal,
      ports: {
        disk: new RealDisk(),
        clock: new RealClock(),
        timers: new RealTimers(),
        random: new RealRandom(),
        health,
        descriptorLimit: descriptorLimit(),
        scheduleTurn: (callback) => setImmediate(callback),
        preloads: true,
        batchChecks: new ThreadBatchChecks(),
      },
    })
  } catch (error) {
    logger.flushNow()
    process.stderr.write(`millrace: ${startFailureText(error)}\n`)
    if (options.logLevel === 'debug' && error instanceof Error) process.stderr.write(`${error.stack}\n`)
    return error instanceof ConfigurationError ? EXIT_USAGE : EXIT_FAILED
  }
  const stop = (signal: string): void => {
    logger.info('stopping', { signal })
    broker.stop().then(
      () => stopped.resolve(0),
      (error: unknown) => onFatal(error instanceof Error ? error : new Error(String(error))),
    )
  }
  process.once('SIGINT', () => stop('SIGINT'))
  process.once('SIGTERM', () => stop('SIGTERM'))
  // Only now: who reads the line may stop the broker at once.
  announce(broker, options)
  await logger.load()
  return stopped.promise
}

/** The line that scripts wait for, then how to try it. The time is from the start of the process. */
function announce(broker: Broker, options: RunOptions): void {
  const first = broker.endpoints[0]
  if (first === undefined) return
  const host = first.host === '' ? '127.0.0.1' : first.host
  const address = `${host.includes(':') ? `[${host}]` : host}:${first.port}`
  const milliseconds = Math.round(performance.now())
  process.stdout.write(`ready ${address} node ${broker.nodeId} pid ${process.pid} in ${milliseconds} ms\n`)
  if (options.quiet) return
  const flag = first.port === 9092 ? '' : ` --bootstrap-server ${address}`
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
