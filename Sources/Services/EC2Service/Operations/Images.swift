import FoundationEssentials
import Ports
import RegionKit
import RegionStore
import WireModel

extension EC2Operations {
  /// The built-in image. Asking for the first time sets its making going: `pending` until it is there, then `available`.
  func describeImages(_ input: Obj<DescribeImagesRequest>, _ call: Call) async throws -> Obj<DescribeImagesResult> {
    let imageId = world.images.imageId
    for id in input[.imageIds] ?? [] { _ = try RunInstancesRules.image(id, known: imageId) }
    let filters = filters(input[.filters])
    if let owners = input[.owners], !owners.isEmpty, Set(owners).isDisjoint(with: ["amazon", Self.amazon]) {
      return Obj { $0[.images] = [] }
    }
    let capabilities = await world.driver.capabilities()
    guard capabilities.available.contains(.ownRoot) else {
      throw AWSError(
        "Unsupported",
        "This machine cannot make images: ownRoot is missing: \(capabilities.missing[.ownRoot] ?? "the driver does not say why.") "
          + "`roadstead doctor` shows what to do.")
    }
    let image = Self.wireImage(imageId, await world.images.current())
    let matches = try ResourceFilter.allMatch(filters, tags: [:]) { name in
      switch name {
      case "image-id": [imageId]
      case "name": [image[.name] ?? ""]
      case "state": [image[.state]?.rawValue ?? ""]
      case "architecture": [InstanceArchitecture.current]
      case "owner-id": [Self.amazon]
      case "owner-alias": ["amazon"]
      case "is-public": ["true"]
      case "image-type": ["machine"]
      case "root-device-type": ["instance-store"]
      case "virtualization-type": ["hvm"]
      default: nil
      }
    }
    return Obj { $0[.images] = matches ? [image] : [] }
  }

  /// The account that owns Amazon's own images, and here the built-in one.
  private static var amazon: String { "137112412989" }

  private static func wireImage(_ id: String, _ status: ImageKeeper.Status) -> Obj<Image> {
    Obj {
      $0[.imageId] = id
      $0[.name] = "roadstead-base"
      $0[.imageLocation] = "amazon/roadstead-base"
      $0[.ownerId] = amazon
      $0[.imageOwnerAlias] = "amazon"
      $0[.public] = true
      $0[.architecture] = ArchitectureValues(rawValue: InstanceArchitecture.current)
      $0[.imageType] = .machine
      $0[.rootDeviceName] = "/dev/xvda"
      $0[.rootDeviceType] = .instanceStore
      $0[.virtualizationType] = .hvm
      $0[.hypervisor] = .xen
      $0[.platformDetails] = "Linux/UNIX"
      $0[.blockDeviceMappings] = []
      switch status {
      case .making(let line):
        $0[.state] = .pending
        $0[.description] = "Being made from this host: \(line)"
      case .ready(let image):
        $0[.state] = .available
        $0[.description] = image.description
        $0[.creationDate] = ISO8601.text(image.created).replacing("Z", with: ".000Z")
      case .failed(let reason):
        $0[.state] = .failed
        $0[.stateReason] = Obj {
          $0[.code] = "Server.InternalError"
          $0[.message] = reason
        }
      }
    }
  }

  func describeInstanceTypes(_ input: Obj<DescribeInstanceTypesRequest>, _ call: Call) async throws
    -> Obj<DescribeInstanceTypesResult>
  {
    let filters = filters(input[.filters])
    var sizes = InstanceSize.all
    if let names = input[.instanceTypes]?.map(\.rawValue), !names.isEmpty {
      if let unknown = names.first(where: { InstanceSize.named($0) == nil }) {
        throw AWSError("InvalidInstanceType", "The following supplied instance types do not exist: [\(unknown)]")
      }
      sizes = sizes.filter { names.contains($0.name) }
    }
    sizes = try sizes.filter { size in
      try ResourceFilter.allMatch(filters, tags: [:]) { name in
        switch name {
        case "instance-type": [size.name]
        case "vcpu-info.default-vcpus": [String(size.vCPUs)]
        case "memory-info.size-in-mib": [String(size.memoryMiB)]
        case "processor-info.supported-architecture": [InstanceArchitecture.current]
        case "current-generation": ["true"]
        default: nil
        }
      }
    }
    let (page, next) = try Paging.page(
      sizes.sorted { $0.name < $1.name }, id: \.name, maxResults: input[.maxResults], token: input[.nextToken],
      range: 5...100, binding: binding(call, filters))
    return Obj {
      $0[.nextToken] = next
      $0[.instanceTypes] = page.map { size in
        Obj {
          $0[.instanceType] = InstanceType(rawValue: size.name)
          $0[.currentGeneration] = true
          $0[.bareMetal] = false
          $0[.hibernationSupported] = false
          $0[.instanceStorageSupported] = false
          $0[.supportedRootDeviceTypes] = [.instanceStore]
          $0[.supportedUsageClasses] = [.onDemand]
          $0[.supportedVirtualizationTypes] = [.hvm]
          $0[.processorInfo] = Obj { $0[.supportedArchitectures] = [ArchitectureType(rawValue: InstanceArchitecture.current)] }
          $0[.vCpuInfo] = Obj {
            $0[.defaultVCpus] = size.vCPUs
            $0[.defaultCores] = size.vCPUs
            $0[.defaultThreadsPerCore] = 1
          }
          $0[.memoryInfo] = Obj { $0[.sizeInMiB] = size.memoryMiB }
        }
      }
    }
  }
}
