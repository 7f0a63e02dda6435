/** One rule about who may know whom. */
export type RoomRule = {
  /** What the rule says, as it is printed when it is broken. */
  readonly says: string;
  /** Files that it holds for. */
  readonly files: (path: string) => boolean;
  /** Targets that are let in although `never` names them. */
  readonly except?: RegExp;
  /** Targets that these files must not import: paths of ours or package names. */
  readonly never?: RegExp;
  /** If given, all that these files may import. */
  readonly only?: RegExp;
};

const DATABASE = '@mikro-orm/|pg$|pg/';
const WIRE = 'proto/gen/|packages/kit/grpc/|@grpc/';
const isTest = (path: string): boolean => /\.(test|suite|bench|fake)\.ts$|\/test-support\//.test(path);
const isStore = (path: string): boolean => /\.(postgres|entity)\.ts$|\/db\//.test(path);
const isWire = (path: string): boolean => /\/(rpc|wire|[a-z-]+-wire)\.ts$|\.grpc\.ts$/.test(path);
const isEdge = (path: string): boolean => /^services\/[a-z]+\/[a-z-]+\.ts$/.test(path);
const inRoom =
  (...rooms: string[]) =>
  (path: string): boolean =>
    rooms.some((room) => path.startsWith(room)) && !isTest(path);

const DOOR_ROOMS = ['services/executor/sidecar/', 'services/executor/lm/', 'services/executor/catalog/'];
const SLICES = /^services\/(?:registry|executor)\/(?!sidecar\/|lm\/|catalog\/|db\/)[a-z-]+\//;

/** The house's import rules. */
export const ROOM_RULES: readonly RoomRule[] = [
  {
    says: 'packages/signature imports nothing but itself',
    files: inRoom('packages/signature/'),
    only: /^packages\/signature\//,
  },
  {
    says: 'packages/predict imports the signature language alone',
    files: inRoom('packages/predict/'),
    only: /^packages\/(?:predict|signature)\//,
  },
  {
    says: 'packages/pipeline knows the signature language, CEL and the errors of the house',
    files: inRoom('packages/pipeline/'),
    only: /^packages\/(?:pipeline|signature)\/|^packages\/kit\/error\/|^@bufbuild\/cel(?:\/ext)?$/,
  },
  {
    says: 'packages/rows knows the signature language, the errors of the house and a parser of CSV',
    files: inRoom('packages/rows/'),
    only: /^packages\/(?:rows|signature)\/|^packages\/kit\/error\/|^csv-parse$|^node:stream/,
  },
  {
    says: 'packages/kit knows no service, no domain package and no message of ours',
    files: inRoom('packages/kit/'),
    never: /^services\/|^packages\/(?!kit\/)|^proto\/gen\/signet\//,
  },
  {
    says: 'packages/client knows the contract and the signature language, so that it can be taken along',
    files: inRoom('packages/client/'),
    never: /^services\/|^packages\/(?!client\/|signature\/)/,
  },
  {
    says: 'packages/cli knows the client and the contract',
    files: inRoom('packages/cli/'),
    never: /^services\/|^packages\/(?!cli\/|client\/)/,
  },
  {
    says: 'a use case knows neither wire types, nor gRPC, nor the database',
    files: (path) => SLICES.test(path) && !isTest(path) && !isStore(path) && !isWire(path),
    never: new RegExp(`^(?:${WIRE}|${DATABASE})`),
  },
  {
    says: 'rpc, wire and clients of other processes know no store and no database',
    files: (path) => path.startsWith('services/') && isWire(path) && !isTest(path),
    never: new RegExp(String.raw`^(?:${DATABASE})|\.postgres\.ts$|\.entity\.ts$`),
  },
  {
    says: 'sidecar, lm, catalog and the whole gateway know no database',
    files: inRoom(...DOOR_ROOMS, 'services/gateway/'),
    never: new RegExp(String.raw`^(?:${DATABASE})|\.postgres\.ts$|\.entity\.ts$`),
  },
  {
    says: 'stores and entities know no wire types and no gRPC',
    files: (path) => path.startsWith('services/') && isStore(path) && !isTest(path),
    never: /^proto\/gen\/|^@grpc\//,
  },
  {
    says: 'the executor asks models through undici, never through the global or another client',
    files: inRoom('services/executor/'),
    never: /^(?:node:https?|axios|openai)$/,
    except: /^node:http$/,
  },
  {
    says: 'main.ts imports its app, its configuration and the process runner',
    files: (path) => /^services\/(?:registry|executor|gateway)\/main\.ts$/.test(path),
    only: /^services\/[a-z]+\/(?:app|config)\.ts$|^packages\/kit\/process\//,
  },
  {
    says: 'nobody but app.ts and its neighbours constructs across rooms: rooms do not import the app',
    files: (path) =>
      path.startsWith('services/') && !isEdge(path) && !isTest(path) && !path.startsWith('services/local/'),
    never: /^services\/[a-z]+\/(?:app|main)\.ts$/,
  },
  {
    says: "test/ knows a service by its app and its configuration, never a slice's insides",
    files: (path) => path.startsWith('test/') && !path.startsWith('test/conformance/'),
    never: /^services\/(?:registry|executor|gateway)\//,
    except:
      /^services\/[a-z]+\/(?:app|config|migrate)\.ts$|^services\/gateway\/admission\/[a-z-]*roles?\.ts$|^services\/executor\/sidecar\/program-definition\.ts$|\.suite\.ts$/,
  },
  {
    says: 'test/conformance holds engines against each other: of the services it knows them and their doors alone',
    files: (path) => path.startsWith('test/conformance/'),
    never: /^services\//,
    except: /^services\/executor\/(?:engine|native|sidecar|lm|tool)\/[a-z-]+\.ts$/,
  },
];
