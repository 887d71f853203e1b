import RegionKit
