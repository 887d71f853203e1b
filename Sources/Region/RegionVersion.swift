/// The release.
public enum RegionVersion {
  public static let text = "0.1.0"
}
