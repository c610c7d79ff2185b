import { type ControllerSettings, SUPPORTED_FEATURES } from '@millrace/consensus'
import type { Configuration } from './configuration.ts'

/** What the controller must know of the settings of the node it runs on, as they are now. */
export function controllerSettings(configuration: Configuration): ControllerSettings {
  const config = configuration.broker
  return {
    nodeId: configuration.nodeId,
    numPartitions: config.numPartitions,
    defaultReplicationFactor: config.defaultReplicationFactor,
    maxPartitions: config.maxPartitions,
    deleteTopicEnable: config.deleteTopicEnable,
    supportedFeatures: SUPPORTED_FEATURES,
  }
}
