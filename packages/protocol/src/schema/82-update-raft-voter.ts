import type { ApiSchema } from './schema.ts'

/** UpdateRaftVoter (key 82), versions 0. */
export const updateRaftVoter: ApiSchema = {
  key: 82,
  name: 'UpdateRaftVoter',
  versions: '0',
  flexible: '0+',
  listeners: ['controller'],
  request: {
    fields: [
      { name: 'clusterId', type: 'string', nullable: true },
      { name: 'currentLeaderEpoch', type: 'int32' },
      { name: 'voterId', type: 'int32' },
      { name: 'voterDirectoryId', type: 'uuid' },
      {
        name: 'listeners',
        type: 'Listener[]',
        fields: [
          { name: 'name', type: 'string' },
          { name: 'host', type: 'string' },
          { name: 'port', type: 'uint16' },
        ],
      },
      {
        name: 'kRaftVersionFeature',
        type: 'KRaftVersionFeature',
        fields: [
          { name: 'minSupportedVersion', type: 'int16' },
          { name: 'maxSupportedVersion', type: 'int16' },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16' },
      {
        name: 'currentLeader',
        type: 'CurrentLeader',
        tag: 0,
        fields: [
          { name: 'leaderId', type: 'int32', default: -1 },
          { name: 'leaderEpoch', type: 'int32', default: -1 },
          { name: 'host', type: 'string' },
          { name: 'port', type: 'int32' },
        ],
      },
    ],
  },
}
