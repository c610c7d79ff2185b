import { RealClock, RealDisk, RealRandom, RealTimers } from '@millrace/base'
import type { ClusterAccess, ClusterSettings, Configuration, Logger } from '@millrace/broker'
import type { ControllerEvents } from '@millrace/consensus'
import { ControllerRuntime } from './controller-runtime.ts'
import { lockQuorumDirectory, type QuorumIdentity, quorumIdentity } from './quorum-directory.ts'
import { startControllerThread } from './start-controller-thread.ts'
import type { ThreadControllerPort } from './thread-controller-port.ts'

/** The quorum node of a broker's process. */
export interface BrokerQuorum extends ClusterAccess {
  readonly port: ThreadControllerPort
}

/** A process that is a controller and no broker. */
export interface RunningController {
  readonly host: string
  readonly port: number
  stop(): Promise<void>
}

/** Starts the quorum node that a broker needs beside it. Rejects with what keeps it from that: settings, directory, log, port. */
export async function startBrokerQuorum(
  configuration: Configuration,
  cluster: ClusterSettings,
  logger: Logger,
): Promise<BrokerQuorum> {
  const { identity, release } = claimDirectory(configuration, cluster)
  try {
    const port = await startControllerThread(configuration, identity, logger)
    return { port, clusterId: identity.clusterId, quorumFigures: () => port.status, quorumWait: () => port.wait }
  } catch (error) {
    release()
    throw error
  }
}

/** Starts a controller that is no broker. Nothing else runs in its process, so it needs no thread of its own. */
export async function startController(
  configuration: Configuration,
  cluster: ClusterSettings,
  logger: Logger,
  onFatal: (error: Error) => void,
): Promise<RunningController> {
  const { identity, release } = claimDirectory(configuration, cluster)
  try {
    const runtime = await ControllerRuntime.open({
      configuration,
      cluster,
      identity,
      disk: new RealDisk(),
      clock: new RealClock(),
      timers: new RealTimers(),
      random: new RealRandom(),
      logger,
    })
    runtime.start(eventsOfController(configuration, logger, onFatal))
    return {
      host: cluster.peerListener?.host ?? '',
      port: runtime.port ?? 0,
      async stop() {
        await runtime.close()
        release()
      },
    }
  } catch (error) {
    release()
    throw error
  }
}

/** Held until the process ends, or cannot start. */
function claimDirectory(
  configuration: Configuration,
  cluster: ClusterSettings,
): { identity: QuorumIdentity; release(): void } {
  const disk = new RealDisk()
  const lock = lockQuorumDirectory(disk, configuration.broker)
  try {
    const identity = quorumIdentity(disk, configuration.broker, cluster, new RealRandom())
    return { identity, release: () => lock.release() }
  } catch (error) {
    lock.release()
    throw error
  }
}

function eventsOfController(
  configuration: Configuration,
  logger: Logger,
  onFatal: (error: Error) => void,
): ControllerEvents {
  return {
    onRecords: () => undefined,
    onImage: (image) => configuration.update(image),
    onActiveController: (id) => logger.info('active controller', { id }),
    onHeartbeatAnswer: () => undefined,
    onFatal,
  }
}
