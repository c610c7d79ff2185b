import type { ApiSchema } from './schema.ts'

/** DescribeLogDirs (key 35), versions 1-5. */
export const describeLogDirs: ApiSchema = {
  key: 35,
  name: 'DescribeLogDirs',
  versions: '1-5',
  flexible: '2+',
  listeners: ['broker'],
  request: {
    fields: [
      {
        name: 'topics',
        type: 'DescribableLogDirTopic[]',
        nullable: true,
        fields: [
          { name: 'topic', type: 'string' },
          { name: 'partitions', type: 'int32[]' },
        ],
      },
    ],
  },
  response: {
    fields: [
      { name: 'throttleTimeMs', type: 'int32' },
      { name: 'errorCode', type: 'int16', versions: '3+', ignorable: true },
      {
        name: 'results',
        type: 'DescribeLogDirsResult[]',
        fields: [
          { name: 'errorCode', type: 'int16' },
          { name: 'logDir', type: 'string' },
          {
            name: 'topics',
            type: 'DescribeLogDirsTopic[]',
            fields: [
              { name: 'name', type: 'string' },
              {
                name: 'partitions',
                type: 'DescribeLogDirsPartition[]',
                fields: [
                  { name: 'partitionIndex', type: 'int32' },
                  { name: 'partitionSize', type: 'int64' },
                  { name: 'offsetLag', type: 'int64' },
                  { name: 'isFutureKey', type: 'bool' },
                ],
              },
            ],
          },
          { name: 'totalBytes', type: 'int64', versions: '4+', default: -1, ignorable: true },
          { name: 'usableBytes', type: 'int64', versions: '4+', default: -1, ignorable: true },
          { name: 'isCordoned', type: 'bool', versions: '5+', ignorable: true },
        ],
      },
    ],
  },
}
